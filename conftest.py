"""Nothing is needed here: the plugin comes with the installed package (entry point ``pytest11``)."""
