/* The steps of a window (window.h): find runs with artifacts, write them down, delete them, then their artifacts. For the deletion
 * alone. */
#ifndef FLOWS_DATABASE_CLEANUP_DELETION_WINDOWS_H
#define FLOWS_DATABASE_CLEANUP_DELETION_WINDOWS_H

#include "flows/database_cleanup/deletion_calls.h"

/* All runs of the plan that have artifacts, with those; on the @first_pass, what an earlier start of the body was at before that.
 * What cannot be found or stored is left to the look at the end. True unless the body has to stop. */
bool deletion_delete_with_artifacts(struct deletion *d, bool first_pass);

/* Deletes the artifacts of runs of the window that are deleted; what is not cleared stays in it, and is carried along. True unless the
 * body has to stop. */
bool deletion_clear_window(struct deletion *d);

#endif
