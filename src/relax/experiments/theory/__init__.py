"""The optimal relaxation, computed exactly for one latent and two."""
