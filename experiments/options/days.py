"""Defines flags that describe the dates in files of prices."""

from absl import flags

DATE_FORMAT = flags.DEFINE_string(
  'date_format',
  '',
  'How days are written that do not begin with the year: dd/mm/yyyy, '
  'mm/dd/yyyy, or a format of strftime, such as %d %b %Y.',
)
TIME_ZONE = flags.DEFINE_string(
  'time_zone',
  '',
  'Time zone of the exchange, e.g. Asia/Tokyo. Times in UTC or another zone '
  'are converted to it to find their day. By default days are as written.',
)
