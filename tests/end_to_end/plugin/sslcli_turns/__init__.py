"""A method, an encoder, a data source and an optimizer, as another author would write them."""
