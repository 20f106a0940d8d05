/* SPDX-License-Identifier: BSD-2-Clause */
/* The control verbs `config …`; arg is struct daemon. */
#ifndef SANDEM_VERBS_CONFIG_H
#define SANDEM_VERBS_CONFIG_H

#include <jansson.h>

struct control_reply;

void verb_config_show(void *arg, const json_t *args, struct control_reply *reply);
void verb_config_history(void *arg, const json_t *args, struct control_reply *reply);
void verb_config_diff(void *arg, const json_t *args, struct control_reply *reply);
void verb_config_apply(void *arg, const json_t *args, struct control_reply *reply);
void verb_config_rollback(void *arg, const json_t *args, struct control_reply *reply);

#endif
