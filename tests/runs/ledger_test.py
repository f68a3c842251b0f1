"""Held-out days are opened once, and every opening is recorded."""

import json

import pytest

from eigen3.runs import ledger


@pytest.fixture
def runs(tmp_path):
  folders = [tmp_path / name for name in 'ab']
  for folder in folders:
    folder.mkdir()
  return folders


def entries(folder):
  return [(x['by'], x['policies']) for x in ledger.openings(folder)]


def test_an_opening_is_recorded(runs):
  assert ledger.openings(runs[0]) == []
  assert ledger.open_holdout({runs[0]: ['p']}, 'me') == 1
  assert entries(runs[0]) == [('me', ['p'])]
  (entry,) = ledger.openings(runs[0])
  assert entry['time'].endswith('+00:00')
  assert ledger.openings(runs[1]) == []


def test_the_same_policy_opens_nothing_anew(runs):
  ledger.open_holdout({runs[0]: ['p', 'q']}, 'me')
  before = (runs[0] / ledger.FILE).read_bytes()
  assert ledger.open_holdout({runs[0]: ['q']}, 'you') == 1
  assert (runs[0] / ledger.FILE).read_bytes() == before


def test_another_policy_is_refused_and_nothing_recorded(runs):
  ledger.open_holdout({runs[1]: ['p']}, 'me')
  with pytest.raises(
    ValueError, match=r'--holdout: found .*b opened before for another policy'
  ) as error:
    ledger.open_holdout({runs[0]: ['p'], runs[1]: ['p', 'new']}, 'you')
  assert str(error.value).startswith('--holdout: ')
  assert 'by me' in str(error.value)
  assert ledger.openings(runs[0]) == []
  assert len(ledger.openings(runs[1])) == 1


def test_again_is_counted(runs):
  ledger.open_holdout({runs[0]: ['p']}, 'me')
  both = {runs[0]: ['new'], runs[1]: ['new']}
  assert ledger.open_holdout(both, 'you', again=True) == 2
  assert entries(runs[0]) == [('me', ['p']), ('you', ['new'])]
  assert entries(runs[1]) == [('you', ['new'])]
  # Known by now, at whichever opening.
  assert ledger.open_holdout({runs[0]: ['p', 'new']}, 'me') == 2


@pytest.mark.parametrize('content', ['', '[1]', '{"a": 1}', '[{"time": "x"}]'])
def test_a_damaged_list_is_one_line(runs, content):
  (runs[0] / ledger.FILE).write_text(content)
  with pytest.raises(ValueError, match=r'holdout\.json: found a damaged file'):
    ledger.open_holdout({runs[0]: ['p']}, 'me')


def test_what_a_report_says():
  assert ledger.remark(0) == ledger.remark(1) == ''
  assert '3 times' in ledger.remark(3)


def test_the_list_can_be_read_by_others(runs):
  ledger.open_holdout({runs[0]: ['p']}, 'me')
  found = json.loads((runs[0] / ledger.FILE).read_text())
  assert found[0].keys() == {'time', 'by', 'policies'}


def test_who_was_judged_is_known(tmp_path):
  assert not ledger.was_judged(tmp_path, 'a')
  ledger.open_holdout({tmp_path: ['a', 'b']}, 'a program')
  assert ledger.was_judged(tmp_path, 'a')
  assert not ledger.was_judged(tmp_path, 'c')
