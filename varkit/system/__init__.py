"""What varkit asks of the machine: files, cores, signals, processes of one training."""
