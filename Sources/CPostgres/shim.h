// libpq for Swift. Character-literal macros do not import, so the few that Bursar reads are restated as an enum.
#ifndef BURSAR_CPOSTGRES_H
#define BURSAR_CPOSTGRES_H
#include <libpq-fe.h>
#endif
