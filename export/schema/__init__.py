"""Classes that flatc generated for the file format."""
