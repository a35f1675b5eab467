"""Sources of concepts: one file and one line of the registry each, from the owner's files to rows of one form."""
