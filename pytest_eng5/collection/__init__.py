"""pytest's side: options, YAML files to items, fixtures, the session's runtime, terminal and JUnit."""
