"""What the mathematics is computed with: products, optimizers, replicas, streams, devices."""
