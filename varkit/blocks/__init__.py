"""Parts that encoders of several methods are made of; none is a component by itself."""
