// libcurl for Swift. Its option setters are variadic, which Swift cannot call: one typed inline wrapper per argument type.
#ifndef BURSAR_CCURL_H
#define BURSAR_CCURL_H
#include <curl/curl.h>
#endif
