"""Several machines that train one model together."""
