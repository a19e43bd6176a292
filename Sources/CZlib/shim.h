// SPDX-License-Identifier: Apache-2.0
#if !__has_include(<zlib.h>)
#error "zlib's headers are missing. Install them: apt-get install zlib1g-dev"
#endif
#include <zlib.h>
