#include "worker/trouble.h"

#include "client/base/clock.h"
#include "client/base/stop.h"

#define FIRST_MS 1000
#define MAX_MS 60000
/* A wrong password is not cured by asking often, and once it is put right, that should show. */
#define AUTH_MS 30000

bool trouble_is_passing(const struct error *err)
{
	return err->code == ERR_TRANSPORT || err->code == ERR_BUSY || err->code == ERR_AUTH || err->code == ERR_NO_ROUTE;
}

bool trouble_is_doubtful(const struct error *err)
{
	/* A redirect leads to a login page or to a notice: a proxy's doing. */
	bool not_prefect = err->http_status >= 500 || (err->http_status >= 300 && err->http_status < 400);

	/* Memory may be there again a moment later. */
	return err->code == ERR_DECODE || err->code == ERR_NOMEM || (err->code == ERR_HTTP && not_prefect);
}

bool trouble_is_refusal(const struct error *err)
{
	return err->code == ERR_INVALID || (err->code == ERR_HTTP && err->http_status >= 400 && err->http_status < 500);
}

bool trouble_note(struct trouble *trouble, const struct error *err)
{
	bool news = trouble->tries == 0 || trouble->code != err->code || trouble->http_status != err->http_status;

	if (trouble->tries == 0)
		trouble->since_ms = clock_mono_ms();
	trouble->tries++;
	if (trouble_is_doubtful(err))
		trouble->doubtful++;
	trouble->code = err->code;
	trouble->http_status = err->http_status;
	trouble->by_wish = err->retry_after_ms > 0;
	return news;
}

int64_t trouble_wait_ms(const struct trouble *trouble, const struct error *err)
{
	int64_t wait = FIRST_MS;

	for (int i = 1; i < trouble->tries && wait < MAX_MS; i++)
		wait *= 2;
	if (err->code == ERR_AUTH)
		wait = AUTH_MS;
	wait = wait_jitter(wait * 4 / 5); /* with the jitter a minute at most */
	if (wait > MAX_MS)
		wait = MAX_MS;
	return wait > err->retry_after_ms ? wait : err->retry_after_ms;
}

bool trouble_over(struct trouble *trouble, int64_t *ret_lasted_ms)
{
	bool was = trouble->tries > 0;

	*ret_lasted_ms = was ? clock_mono_ms() - trouble->since_ms : 0;
	*trouble = (struct trouble){0};
	return was;
}
