"""Pages and tables of the report, one part in each module."""
