"""Order books: `Book` is one of them, `Books` are all of an interpreter."""

from recorder.book.book import Book as Book
from recorder.book.book import Ground as Ground
from recorder.book.book import Levels as Levels
from recorder.book.books import PREFERENCE as PREFERENCE
from recorder.book.books import Books as Books
