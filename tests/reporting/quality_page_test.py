"""Tests of a panel's quality report, as JSON and as a page."""

import html.parser
import json
import re

import pytest
from planted_defects import (
  CLEAN,
  DAYS,
  clean_rows,
  csv_of,
  plant,
  report_on,
)

from eigen3.data import DataError, Refusal
from eigen3.data.findings import RULES
from eigen3.reporting import quality_page


class Text(html.parser.HTMLParser):
  """Collects the words, tags and addresses of a page."""

  def __init__(self, page):
    super().__init__()
    self.words, self.tags, self.addresses = [], [], []
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.addresses += [v for k, v in attrs if k in ('src', 'href', 'action')]

  def handle_data(self, data):
    self.words.append(' '.join(data.split()))


@pytest.fixture
def report():
  ticked, _, _ = plant('tick', clean_rows(3), 50, 1)
  untraded = clean_rows(4)
  untraded[20::2, 4] = 0.0
  return report_on(
    ticked,
    csv_of(untraded),
    CLEAN,
    refused=(Refusal('<img src=x>.csv', "found '<b>', expected", 3, 'open'),),
    ignored=('notes.txt',),
  )


def test_the_json_says_all(report, tmp_path):
  json_path, _ = quality_page.write(report, tmp_path / 'my.panel.parquet')
  assert json_path == tmp_path / 'my.panel.quality.json'
  found = json.loads(json_path.read_text())
  assert found['schema_version'] == 1
  assert found['source_hash'] == 'abc'
  assert len(found['panel_hash']) == 64
  assert (found['num_days'], found['num_columns']) == (160, 3)
  assert (found['num_rows'], found['num_investable']) == (480, 3)
  assert (found['first_day'], found['last_day']) == (
    str(DAYS[0]),
    str(DAYS[-1]),
  )
  assert found['survivorship'].startswith('survivors only')
  assert found['repairs'] == {
    'bad_ticks': 'keep',
    'splits': 'keep',
    'order': 'keep',
  }
  assert found['refused'] == [
    {
      'file': '<img src=x>.csv',
      'reason': "found '<b>', expected",
      'row': 3,
      'column': 'open',
      'symbol': '',
      'action': 'refused',
    }
  ]
  assert found['ignored'] == ['notes.txt']
  assert list(found['totals']) == list(found['rules']) == list(RULES)
  total = found['totals']['untraded']
  assert (total['columns'], total['occurrences'], total['count']) == (1, 70, 70)
  first = found['columns'][0]
  assert list(first['counts']) == list(RULES)
  assert {kind: n for kind, n in first['counts'].items() if n} == {'tick': 1}
  assert first['findings']['tick']['places'][0][:2] == [str(DAYS[50]), 1]
  # All 70 places; the page shows a few.
  assert len(found['columns'][1]['findings']['untraded']['places']) == 70


def test_the_page_says_what_a_reader_asks(report, tmp_path):
  _, page_path = quality_page.write(report, tmp_path / 'panel.parquet')
  assert page_path == tmp_path / 'panel.quality.html'
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'panel.quality.html',
    'panel.quality.json',
  ]
  page = page_path.read_text()
  words = Text(page).words
  assert 'Data quality of panel.parquet' in words
  assert report.survivorship[1:] in ' '.join(words)
  assert report.source_hash in words
  assert report.panel_hash in words
  assert 'and 60 more in panel.quality.json' in words
  for rule in RULES.values():
    assert rule.title in words
  assert any('notes.txt' in text for text in words)
  place = report.columns[0].findings['tick'].occurrences[0]
  assert f'{place.day} {place.found}' in words


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(
  report, tmp_path
):
  _, page_path = quality_page.write(report, tmp_path / 'a<b>&.parquet')
  page = page_path.read_text()
  text = Text(page)
  assert any('<img src=x>.csv' in words for words in text.words)
  assert 'Data quality of a<b>&.parquet' in text.words
  assert text.tags.count('img') <= 1  # the picture, if any
  assert not {'link', 'iframe', 'object'} & set(text.tags)
  for address in text.addresses:
    assert address.startswith(('data:', '#', 'a%3Cb%3E%26.quality.json'))
  assert not re.search(r'https?:|url\(|@import', page)


def test_the_picture_leaves_out_what_is_complete(report, tmp_path):
  _, page_path = quality_page.write(report, tmp_path / 'p.parquet')
  assert 'img' not in Text(page_path.read_text()).tags
  rows = clean_rows(5)
  holes = report_on(CLEAN, csv_of(rows[80:], DAYS[80:]))
  _, page_path = quality_page.write(holes, tmp_path / 'p.parquet')
  page = page_path.read_text()
  assert Text(page).tags.count('img') == 1
  assert 'const names = ["T1"]' in page


def test_a_report_that_cannot_be_written_is_one_clear_line(report, tmp_path):
  (tmp_path / 'p.quality.json').mkdir()
  with pytest.raises(
    DataError, match=r'p\.quality\.json: cannot be written .* expected a w'
  ):
    quality_page.write(report, tmp_path / 'p.parquet')
