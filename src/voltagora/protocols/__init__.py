"""The published contract: twelve protocols, one file each; what goes over the wire and nothing else."""
