"""Which names of the package others may rely on."""

import importlib
import pkgutil
import types

import eigen3


def interfaces() -> list[str]:
  """Returns the modules whose names others may rely on.

  A package that lists its names in `__all__` is an interface, with the modules
  that it lists. Of a package that lists none, each module is one.
  """
  found = []

  def look(package: types.ModuleType) -> None:
    names = getattr(package, '__all__', None)
    if names is not None:
      listed = (getattr(package, name) for name in names)
      modules = [x for x in listed if isinstance(x, types.ModuleType)]
      found.extend(x.__name__ for x in (package, *modules))
    for info in pkgutil.iter_modules(package.__path__, f'{package.__name__}.'):
      if info.ispkg:
        look(importlib.import_module(info.name))
      elif names is None:
        found.append(info.name)

  look(eigen3)
  return found


def names_of(interface: str) -> set[str]:
  """Returns the full names of what a module offers.

  That is what `__all__` lists, or else its own functions and classes.
  """
  module = importlib.import_module(interface)
  names = getattr(module, '__all__', None)
  if names is None:
    names = [
      name
      for name, found in vars(module).items()
      if name[0] != '_' and getattr(found, '__module__', '') == interface
    ]
  return {f'{interface}.{name}' for name in names}
