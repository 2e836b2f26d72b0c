"""Reads a page as a browser would, to ask what is in it."""

from html.parser import HTMLParser

_VOID = {"meta", "wbr", "link", "br", "img", "hr"}


class Page(HTMLParser):
  """A page that is well formed.

  Attributes:
    tags: every element as (name, attributes).
    text: by the name of the elements around it, what stands in them.
    tables: each as rows of cells of text.
  """

  def __init__(self, html: str):
    super().__init__(convert_charrefs=True)
    self.tags, self.text, self.tables, self._open = [], {}, [], []
    self.feed(html)
    self.close()
    assert not self._open, f"never closed: {self._open}"

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag == "table":
      self.tables.append([])
    elif tag == "tr":
      self.tables[-1].append([])
    elif tag in ("th", "td"):
      self.tables[-1][-1].append("")
    if tag not in _VOID:
      self._open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

  def handle_data(self, data):
    for tag in set(self._open):
      self.text[tag] = self.text.get(tag, "") + data
    if self._open and {"td", "th"} & set(self._open):
      self.tables[-1][-1][-1] += data

  def values(self, attribute):
    """Returns every value of an attribute."""
    return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]
