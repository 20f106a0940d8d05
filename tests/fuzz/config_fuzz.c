/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration file. What is refused is refused with a message that begins with the file's name; what is taken is
 * good by config_verify(), too, and gives the same digest twice. */
#include <string.h>

#include "core/log.h"
#include "daemon/config/config.h"
#include "fuzz.h"

#define NAME "sandem.yaml"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	uint8_t digest[2][32];
	struct config *c = NULL;
	struct config_error err = { 0 };
	int rc;

	log_setup(LOG_LEVEL_ERROR, NULL);
	rc = config_parse(NAME, (const char *)p, len, &c, &err);
	if (rc) {
		FUZZ_CHECK(!strncmp(err.text, NAME, strlen(NAME)));
		FUZZ_CHECK(strlen(err.text) > strlen(NAME) + 2);
		return 0;
	}
	FUZZ_CHECK(config_verify(c, &err) == 0);
	config_digest(c, digest[0]);
	config_digest(c, digest[1]);
	FUZZ_CHECK(!memcmp(digest[0], digest[1], 32));
	config_free(c);
	return 0;
}
