"""Starting a sync, polling it until it ends, and watching for ended runs."""
