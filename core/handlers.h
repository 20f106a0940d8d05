/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the rows of the command table execute, by family (one file each). Every handler ends its
 * command exactly once with the cmd_complete() family, at once or from the completion of its I/O.
 * Thread: cmd->reactor; those in hooks.c run on the control thread.
 */
#ifndef SANDEM_CORE_HANDLERS_H
#define SANDEM_CORE_HANDLERS_H

struct scsi_cmd;

/* test_unit_ready.c, start_stop.c, diagnostic.c (SPC-4, SBC-3) */
void test_unit_ready(struct scsi_cmd *cmd);
void start_stop_unit(struct scsi_cmd *cmd);
void prevent_allow(struct scsi_cmd *cmd);
void send_diagnostic(struct scsi_cmd *cmd);
void receive_diagnostic(struct scsi_cmd *cmd);

/* inquiry.c (SPC-4), report_luns.c (6.33), request_sense.c */
void inquiry(struct scsi_cmd *cmd);
void report_luns(struct scsi_cmd *cmd);
void request_sense(struct scsi_cmd *cmd);

/* opcodes.c (SPC-4) */
void opcodes_report(struct scsi_cmd *cmd);
void opcodes_report_tmfs(struct scsi_cmd *cmd);

/* mode.c (SPC-4 7.5) */
void mode_sense_6(struct scsi_cmd *cmd);
void mode_sense_10(struct scsi_cmd *cmd);

/* capacity.c (SBC-3), defects.c */
void capacity_10(struct scsi_cmd *cmd);
void capacity_16(struct scsi_cmd *cmd);
void defects_10(struct scsi_cmd *cmd);
void defects_12(struct scsi_cmd *cmd);

/* log_sense.c (SPC-4 7.3) */
void log_sense(struct scsi_cmd *cmd);

/* cdrom.c (MMC-6 6) */
void cdrom_read_toc(struct scsi_cmd *cmd);
void cdrom_get_configuration(struct scsi_cmd *cmd);
void cdrom_get_event_status(struct scsi_cmd *cmd);
void cdrom_read_disc_information(struct scsi_cmd *cmd);

/* lba_status.c (SBC-3) */
void lba_status_get(struct scsi_cmd *cmd);

/* rw.c, verify.c, sync_cache.c, write_same.c, unmap.c (SBC-3 5) */
void rw_read(struct scsi_cmd *cmd);
void rw_write(struct scsi_cmd *cmd);
void verify(struct scsi_cmd *cmd);
void verify_after_write(struct scsi_cmd *cmd);
void sync_cache(struct scsi_cmd *cmd);
void sync_cache_prefetch(struct scsi_cmd *cmd);
void write_same(struct scsi_cmd *cmd);
void unmap(struct scsi_cmd *cmd);

/* rmw.c (SBC-3) */
void rmw_compare_and_write(struct scsi_cmd *cmd);
void rmw_orwrite(struct scsi_cmd *cmd);
void rmw_write_atomic(struct scsi_cmd *cmd);

/* echo.c (SPC-4), timestamp.c */
void echo_read_buffer(struct scsi_cmd *cmd);
void echo_write_buffer(struct scsi_cmd *cmd);
void timestamp_report(struct scsi_cmd *cmd);

/* sanitize.c (SBC-3); exit_failure on the control thread */
void sanitize_overwrite(struct scsi_cmd *cmd);
void sanitize_block_erase(struct scsi_cmd *cmd);
void sanitize_crypto_erase(struct scsi_cmd *cmd);
void sanitize_exit_failure(struct scsi_cmd *cmd);
void format_unit(struct scsi_cmd *cmd);

/* extended_copy.c (SPC-4), copy_results.c */
void extended_copy_lid1(struct scsi_cmd *cmd);
void extended_copy_lid4(struct scsi_cmd *cmd);
void copy_results_status_lid1(struct scsi_cmd *cmd);
void copy_results_status_lid4(struct scsi_cmd *cmd);
void copy_results_data(struct scsi_cmd *cmd);
void copy_results_parameters(struct scsi_cmd *cmd);
void copy_results_failure(struct scsi_cmd *cmd);
void copy_results_token(struct scsi_cmd *cmd);
void copy_results_abort(struct scsi_cmd *cmd);

/* rod_copy.c (SBC-4) */
void rod_copy_populate(struct scsi_cmd *cmd);
void rod_copy_write(struct scsi_cmd *cmd);

/* hooks.c: commands whose meaning lives above core (enum core_hook) */
void hooks_pr_in(struct scsi_cmd *cmd);
void hooks_pr_out(struct scsi_cmd *cmd);
void hooks_reserve(struct scsi_cmd *cmd);
void hooks_release(struct scsi_cmd *cmd);
void hooks_rtpg(struct scsi_cmd *cmd);
void hooks_stpg(struct scsi_cmd *cmd);
void hooks_mode_select(struct scsi_cmd *cmd);
void hooks_set_timestamp(struct scsi_cmd *cmd);
void hooks_log_select(struct scsi_cmd *cmd);
/* From a handler on the reactor: the command goes on to HOOK_REMOVAL; it has no part in the medium any more. */
void hooks_removal(struct scsi_cmd *cmd);

#endif
