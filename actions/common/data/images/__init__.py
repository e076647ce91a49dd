"""Images with their labels as files of rows: class folders and WebDataset, in zips and tars."""
