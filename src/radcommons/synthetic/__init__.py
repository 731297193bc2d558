"""A labelled synthetic set on disk: PNG, DICOM or npz, with its tables and its provenance."""
