"""What every figure, summary and claim shares. Reads tables; never imports torch."""
