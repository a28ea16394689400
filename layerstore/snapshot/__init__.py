"""From layers to root filesystems: chains, drivers, and the mounting of a stack."""
