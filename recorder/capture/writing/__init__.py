"""How frames get from the caller to the journal: queue, thread, words for what a disk refuses."""
