"""Flags of programs that read files of prices: the format of days."""

from absl import flags

DATE_FORMAT = flags.DEFINE_string(
  'date_format',
  '',
  'How days are written that do not begin with the year: dd/mm/yyyy, '
  'mm/dd/yyyy, or in the signs of strftime, as %d %b %Y.',
)
TIME_ZONE = flags.DEFINE_string(
  'time_zone',
  '',
  'Zone of the exchange, e.g. Asia/Tokyo, whose clocks say the day of a time '
  'that is given in UTC or another zone. By default days are as written.',
)
