"""What callers were told while workers died, compared with the log afterwards: `./run bench chaos`."""
