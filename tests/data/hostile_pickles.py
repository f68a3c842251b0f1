"""Pickles that run code or exhaust the machine if they are loaded."""

import builtins
import copyreg
import operator
import os
import pickle
import struct
import subprocess

import numpy as np
import pandas as pd
from pandas.core.internals.managers import BlockManager

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
START = b'\x80\x05'


class Calls:
  """Pickles as a call of a function with arguments."""

  def __init__(self, function, *args):
    self.call = (function, args)

  def __reduce__(self):
    return self.call


class Instance:
  """Pickles as an instance of a class with a state."""

  def __init__(self, kind, state):
    self.kind, self.state = kind, state

  def __reduce__(self):
    return copyreg._reconstructor, (self.kind, object, None), self.state


def old_frame(axes, blocks):
  """Returns a frame as in pandas 1.2: its blocks are dictionaries."""
  state = (axes, [], [], {'0.14.1': {'axes': axes, 'blocks': blocks}})
  return Instance(pd.DataFrame, {'_data': Instance(BlockManager, state)})


def of_one_block():
  """Returns a small frame that claims 1000 x 1000 cells in one block."""
  table = pd.DataFrame(
    columns=[str(place) for place in range(1000)],
    index=[str(place) for place in range(1000)],
  )
  block = np.array([[None] * 1000], object)
  blocks = [
    {'values': block, 'mgr_locs': slice(place, place + 1)}
    for place in range(1000)
  ]
  return pickle.dumps(old_frame([table.columns, table.index], blocks))


def frame(first=None):
  """Returns four days of three tickers; the first cell may be anything."""
  values = np.random.default_rng(0).uniform(1, 2, (4, 3, 9))
  table = pd.DataFrame(
    {name: values[:, place].tolist() for place, name in enumerate('ABC')},
    index=pd.bdate_range('2020-01-01', periods=4),
  )
  if first is not None:
    table.iat[0, 0] = first
  return table


def text(word):
  """Returns the pickle of a string."""
  return b'X' + struct.pack('<I', len(word)) + word.encode()


def named(module, name):
  """Returns the pickle of a global found by its name, without an import."""
  return text(module) + text(name) + b'\x93'


def running(canary):
  """Returns pickles that create the file `canary`, by name of the way."""
  command = f'touch {canary}'
  statement = f'open({str(canary)!r}, "w").close()'
  system = Calls(os.system, command)
  second = canary.with_name('second')
  second.write_bytes(pickle.dumps(system))
  labels = frame()
  labels.columns = pd.Index(['A', 'B', system], dtype=object)
  dates = frame()
  dates.index = pd.Index([*dates.index[:3], system], dtype=object)
  remarks = frame()
  remarks.attrs['remark'] = system
  values = {
    'system': system,
    'popen': Calls(subprocess.Popen, ['touch', str(canary)]),
    'eval': Calls(builtins.eval, statement),
    'exec': Calls(builtins.exec, statement),
    'open': Calls(builtins.open, str(canary), 'w'),
    'read_pickle': Calls(pd.read_pickle, str(second)),
    'pandas_handle': Calls(pd.io.common.get_handle, str(canary), 'w'),
    'to_csv': Calls(pd.DataFrame.to_csv, pd.DataFrame(), str(canary)),
    'savetxt': Calls(np.savetxt, str(canary), np.zeros(2)),
    'tofile': Calls(operator.methodcaller('tofile', str(canary)), np.ones(2)),
    'in_a_list': [1.0, (2.0, {'a': [system]})],
    'in_a_cell': frame(system),
    'in_a_list_in_a_cell': frame([1.0] * 8 + [system]),
    'in_an_array': frame(np.array([system] * 9, object)),
    'in_the_names': labels,
    'in_the_dates': dates,
    'in_the_remarks': remarks,
  }
  written = {
    f'{name}_{protocol}': pickle.dumps(value, protocol)
    for name, value in values.items()
    for protocol in PROTOCOLS
  }
  argument = text(command)
  get = named('builtins', 'getattr')
  module = named('importlib', 'import_module') + text('os') + b'\x85R'
  return written | {
    'posix': b'cposix\nsystem\n' + argument + b'\x85R.',
    'getattr': START + get + module + text('system') + b'\x86R' + argument
    + b'\x85R.',
    'dotted': START + named('pandas', 'io.common.os.system') + argument
    + b'\x85R.',
    'inst': b'(' + argument + b'ios\nsystem\n.',
    'obj': b'(cos\nsystem\n' + argument + b'o.',
    'after_a_frame': pickle.dumps(frame())[:-1] + b'0' + pickle.dumps(system),
  }  # fmt: skip


def harmless():
  """Returns pickles that run no code, but are not a valid frame.

  Some are small but need much memory or time.
  """
  array = named('numpy.core.multiarray', '_reconstruct') + b')R'
  code = named('numpy', 'dtype') + text('f8') + b'\x89\x88\x87R(K\x03'
  code += text('<') + b'NNNtb'
  buffer = named('numpy.core.numeric', '_frombuffer') + b'(C\x01a' + code
  large = b'\x8a\x06' + (10**12).to_bytes(6, 'little')
  return {
    'nothing': b'',
    'text': b'Date,A\n2020-01-01,1\n',
    'no_end': START + b'N',
    'empty_stack': START + b'R.',
    'a_number': pickle.dumps(3.0),
    'an_array': pickle.dumps(np.arange(3.0)),
    'a_series': pickle.dumps(frame()['A']),
    'a_function': pickle.dumps(os.system),
    'a_function_in_a_cell': pickle.dumps(frame(os.system)),
    'functions': pickle.dumps(frame(np.array([os.system] * 9, object))),
    'new_object': START + named('subprocess', 'Popen') + b')\x81.',
    'new_object_with_names': START + named('os', 'system') + b')}\x92.',
    'persistent': b'Pos.system\n.',
    'extension': START + b'\x82\x01.',
    'other_codec': START + named('_codecs', 'encode') + text('import os')
    + text('rot13') + b'\x86R.',
    'changed_class': START + named('numpy', 'ndarray') + b'N}'
    + text('__setstate__') + b'Ns\x86b.',
    'called_result': START + named('numpy', 'ndarray') + b')R)R.',
    'memo': START + b'Nr\xff\xff\xff\xff.',
    'long_text': START + b'\x8d' + struct.pack('<Q', 2**40) + b'a.',
    'long_buffer': START + b'\x96' + struct.pack('<Q', 2**40) + b'a.',
    'long_frame': START + b'\x95' + struct.pack('<Q', 2**60) + b'N.',
    'large_buffer': START + named('builtins', 'bytearray') + large + b'\x85R.',
    'large_array': START + buffer + large + b'\x85' + text('C') + b'tR.',
    'large_state': START + array + b'(K\x01' + large + large + b'\x86' + code
    + b'\x89C\x01atb.',
    'deep_key': START + b'})' + b'\x85' * 300_000 + b'Ns.',
    'deep': START + b')' + b'\x85' * 300_000 + b'.',
    'of_one_block': of_one_block(),
    'doubled': START + b']\x94' + b'(h\x00h\x00e' * 30 + b'.',
  }  # fmt: skip
