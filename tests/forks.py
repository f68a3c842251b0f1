"""Programs run as their users run them, in forks of a process that is ready.

To import what a program imports takes a core three seconds, which is most of
what many tests run. A server imports it once; each fork of it is a process
with a number, directory, environment and output of its own, ends as Python
does, and can be killed.

  python forks.py

reads a request a line of stdin, as JSON, and answers each by a line.
"""

import functools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*arguments, cwd=ROOT, **environment):
  """Runs `python ARGUMENTS` to its end.

  Args:
    *arguments: FILE, -m MODULE or -c CODE, and the program's own.
    cwd: the directory that it is started in.
    **environment: beside what is set.

  Returns:
    A `subprocess.CompletedProcess`.
  """
  return start(*arguments, cwd=cwd, **environment).completed()


def start(*arguments, cwd=ROOT, **environment):
  """Starts `python ARGUMENTS`; see `run`. Returns a `Fork`."""
  return _server().start(arguments, cwd, environment)


class Fork:
  """What `subprocess.Popen` is of another process."""

  def __init__(self, server, pid, arguments, output):
    self.pid, self.args, self.returncode = pid, arguments, None
    self._server, self._output = server, output

  def poll(self):
    if self.returncode is None:
      self.returncode = self._server.ask({'poll': self.pid})
    return self.returncode

  def wait(self, timeout=550):
    end = time.monotonic() + timeout
    while self.poll() is None:
      if time.monotonic() > end:
        self.kill()
        raise subprocess.TimeoutExpired(self.args, timeout)
      time.sleep(0.005)
    return self.returncode

  def communicate(self, timeout=550):
    self.wait(timeout)
    return self.said('out'), self.said('err')

  def completed(self):
    """Waits for the end."""
    stdout, stderr = self.communicate()
    return subprocess.CompletedProcess(
      self.args, self.returncode, stdout, stderr
    )

  def said(self, name):
    """What it printed so far, to 'out' or 'err'."""
    return pathlib.Path(f'{self._output}.{name}').read_text()

  def send_signal(self, number):
    if self.poll() is None:
      os.kill(self.pid, number)

  def kill(self):
    self.send_signal(signal.SIGKILL)


class _Server:
  """The process that forks, and a folder for what forks print."""

  def __init__(self):
    self._folder = tempfile.TemporaryDirectory()
    self._count = 0
    self._process = subprocess.Popen(
      [sys.executable, __file__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      env=os.environ | {'PYTHONPATH': str(ROOT)},
    )

  def start(self, arguments, cwd, environment):
    self._count += 1
    output = f'{self._folder.name}/{self._count}'
    for name in ('out', 'err'):
      pathlib.Path(f'{output}.{name}').touch()
    request = {
      'command': [str(argument) for argument in arguments],
      'output': output,
      'cwd': str(cwd),
      'environment': dict(os.environ) | environment,
    }
    return Fork(self, self.ask(request), arguments, output)

  def ask(self, request):
    self._process.stdin.write(json.dumps(request) + '\n')
    self._process.stdin.flush()
    return json.loads(self._process.stdout.readline())


@functools.cache
def _server():
  """The server of this process; it ends with it."""
  return _Server()


def _serve():
  """Answers until there are no more requests; a fork returns what to run."""
  for line in sys.stdin:
    request = json.loads(line)
    if 'poll' in request:
      pid, status = os.waitpid(request['poll'], os.WNOHANG)
      answer = os.waitstatus_to_exitcode(status) if pid else None
    else:
      answer = os.fork()
      if not answer:
        return request
    print(json.dumps(answer), flush=True)
  return None


def _enter(output, cwd, environment):
  """Makes this fork what a process is that has just been started."""
  files = [os.open(os.devnull, os.O_RDONLY)]
  files += [os.open(f'{output}.{name}', os.O_WRONLY) for name in ('out', 'err')]
  for target, file in enumerate(files):
    os.dup2(file, target)
  os.chdir(cwd)
  sys.path[1:1] = environment.get('PYTHONPATH', '').split(os.pathsep)
  for name, value in environment.items() - os.environ.items():
    if name.lower() in jax.config.values:  # which were read at the import
      _set(name.lower(), value)
  os.environ.clear()
  os.environ.update(environment)


def _set(name, value):
  """Sets what JAX takes from its environment."""
  kind = type(jax.config.values[name])
  if kind is bool:
    value = value.lower() in ('1', 'true')
  elif kind in (int, float):
    value = kind(value)
  jax.config.update(name, value)


def _run(first, *others):
  if first == '-m':
    sys.path[0] = ''
    sys.argv = list(others)
    runpy.run_module(others[0], run_name='__main__', alter_sys=True)
  elif first == '-c':
    sys.path[0] = ''
    sys.argv = ['-c', *others[1:]]
    exec(others[0], {'__name__': '__main__'})
  else:
    sys.path[0] = str(pathlib.Path(first).parent)
    sys.argv = [first, *others]
    runpy.run_path(first, run_name='__main__')


if __name__ == '__main__':
  import gc
  import importlib
  import pkgutil
  import runpy

  import jax

  import eigen3

  # No program's own module, which would bring its flags to all others.
  names = [m.name for m in pkgutil.walk_packages(eigen3.__path__, 'eigen3.')]
  for name in (*names, 'experiments.mains', 'experiments.wiring', 'optuna'):
    importlib.import_module(name)
  # Forks share memory as long as nobody writes to it, and end sooner.
  gc.freeze()
  requested = _serve()
  if requested:
    command = requested.pop('command')
    _enter(**requested)
    _run(*command)
