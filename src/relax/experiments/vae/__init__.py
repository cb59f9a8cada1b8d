"""The discrete variational autoencoder (draft 4.2)."""
