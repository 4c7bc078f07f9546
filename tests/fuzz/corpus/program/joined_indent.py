hh9223372036854775808
  \
t  tAr
  \
 tAr
  \
t  torgr