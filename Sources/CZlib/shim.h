// zlib, for exports that are sent compressed.
#include <zlib.h>
