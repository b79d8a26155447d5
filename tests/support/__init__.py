"""What several tests share; test modules import no test module."""
