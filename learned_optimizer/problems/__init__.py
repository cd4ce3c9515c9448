"""Problems to optimize: objectives, data sets, and sets of both."""
