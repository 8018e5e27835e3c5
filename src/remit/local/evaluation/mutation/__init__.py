"""A recorded world under other names: whatever a rule could have learnt by heart is renamed, alike everywhere; the rest stays."""
