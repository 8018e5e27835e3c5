"""What Remit costs, measured beside what others cost in the same run: `./run bench core`."""
