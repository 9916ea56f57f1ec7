"""Graph passes: one file per pass, each a function `Graph -> Graph` named after what it does."""
