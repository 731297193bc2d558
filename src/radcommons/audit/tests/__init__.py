"""The privacy tests of an audit."""
