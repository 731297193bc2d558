"""One labelled synthetic set from several generators."""
