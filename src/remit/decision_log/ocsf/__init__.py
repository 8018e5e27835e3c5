"""The log as events of OCSF 1.8 (Open Cybersecurity Schema Framework), for SIEMs."""
