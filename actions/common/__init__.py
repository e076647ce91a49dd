"""The actions' library: nouns of data-parallel training, copied into every action's zip."""
