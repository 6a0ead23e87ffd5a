"""Faust's app, without the folder it makes where it is started."""

import faust


class App(faust.App):
    """There are no tables, so there is nothing to keep in a folder."""

    def _create_directories(self) -> None:
        """Nothing to create."""
