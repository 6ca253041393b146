#include "tests/unit/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/base/text.h"

#define REQUEST_MAX (4 * 1024 * 1024)

struct http_server {
	pthread_t thread;
	int listener;
	int stop; /* readable when the thread has to end */
	char url[64];
	http_handler *handler;
	void *arg;
	const struct http_step *steps;
	size_t step_count;
	atomic_size_t requests;
	struct text problems;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

/* Waits until @fd has something to read; false where the server has to end. What a client has sent counts, also where
 * this thread comes to it only after the test has ended. */
static bool wait_readable(const struct http_server *server, int fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = server->stop, .events = POLLIN}};

	must(poll(fds, 2, -1) >= 0, "poll");
	return fds[0].revents != 0;
}

static bool send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* Reads headers and body; false where the client left. */
static bool read_request(const struct http_server *server, int fd, struct text *request, struct http_seen *ret_seen)
{
	size_t body_at = 0;
	size_t body_len = 0;
	char buf[16384];
	char length[32];

	while (body_at == 0 || request->len < body_at + body_len) {
		ssize_t n = wait_readable(server, fd) ? recv(fd, buf, sizeof buf, 0) : -1;
		if (n <= 0)
			return false;
		text_add(request, buf, (size_t)n);
		must(!request->failed, "request too large");
		const char *end = strstr(text_str(request), "\r\n\r\n");
		if (body_at == 0 && end != NULL) {
			body_at = (size_t)(end - request->data) + 4;
			http_seen_header(request->data, "Content-Length", length, sizeof length);
			body_len = (size_t)strtoul(length, NULL, 10);
		}
	}

	/* Cut into the strings of @ret_seen, in place. */
	char *method = request->data;
	char *path = strchr(method, ' ');
	must(path != NULL, "request line");
	*path++ = '\0';
	char *rest = strchr(path, ' ');
	must(rest != NULL, "request line");
	*rest++ = '\0';
	request->data[body_at - 2] = '\0';
	*ret_seen = (struct http_seen){method, path, strstr(rest, "\r\n"), request->data + body_at};
	return true;
}

static void send_chunked(int fd, const char *body)
{
	char head[16];

	for (size_t left = strlen(body); left > 0;) {
		size_t n = left < 7 ? left : 7;
		(void)snprintf(head, sizeof head, "%zx\r\n", n);
		if (!send_all(fd, head, strlen(head)) || !send_all(fd, body, n) || !send_all(fd, "\r\n", 2))
			return;
		body += n;
		left -= n;
	}
	(void)send_all(fd, "0\r\n\r\n", 5);
}

static void send_endless(int fd)
{
	enum { BLOCK = 1024 * 1024 };
	char *block = malloc(BLOCK);

	must(block != NULL, "malloc");
	memset(block, ' ', BLOCK);
	while (send_all(fd, block, BLOCK))
		;
	free(block);
}

/* Waits until the client leaves. */
static void await_end(const struct http_server *server, int fd)
{
	char scrap[1024];

	while (wait_readable(server, fd) && recv(fd, scrap, sizeof scrap, 0) > 0)
		;
}

static void send_reply(const struct http_server *server, int fd, const struct http_reply *reply)
{
	const char *body = reply->owned != NULL ? reply->owned : reply->body != NULL ? reply->body : "";
	AUTO_TEXT head = {.max = REQUEST_MAX};

	switch (reply->trick) {
	case TRICK_CLOSE:
		return;
	case TRICK_STALL:
		await_end(server, fd);
		return;
	case TRICK_RAW:
		(void)send_all(fd, body, strlen(body));
		return;
	case TRICK_NONE:
	case TRICK_HALF:
	case TRICK_OPEN:
	case TRICK_ENDLESS:
	case TRICK_CHUNKED:
		break;
	}

	text_addf(&head, "HTTP/1.1 %d Scripted\r\nConnection: close\r\n%s", reply->status != 0 ? reply->status : 200,
	          reply->headers != NULL ? reply->headers : "");
	if (reply->trick == TRICK_CHUNKED)
		text_addf(&head, "Transfer-Encoding: chunked\r\n");
	else if (reply->trick != TRICK_ENDLESS && reply->trick != TRICK_OPEN && (reply->headers == NULL || strstr(reply->headers, "Content-Length") == NULL))
		text_addf(&head, "Content-Length: %zu\r\n", strlen(body));
	text_addf(&head, "\r\n");
	if (!send_all(fd, text_str(&head), head.len))
		return;
	if (reply->trick == TRICK_CHUNKED)
		send_chunked(fd, body);
	else if (reply->trick == TRICK_ENDLESS)
		send_endless(fd);
	else
		(void)send_all(fd, body, reply->trick == TRICK_HALF ? strlen(body) / 2 : strlen(body));
	if (reply->trick == TRICK_OPEN)
		await_end(server, fd);
}

static bool has_line(const char *headers, const char *line)
{
	char name[80];
	char value[1024];
	const char *colon = strchr(line, ':');

	must(colon != NULL && (size_t)(colon - line) < sizeof name, "a header line needs a colon");
	(void)snprintf(name, sizeof name, "%.*s", (int)(colon - line), line);
	http_seen_header(headers, name, value, sizeof value);
	return strcmp(value, colon[1] == ' ' ? colon + 2 : colon + 1) == 0;
}

static struct http_reply next_step(struct http_server *server, const struct http_seen *seen)
{
	size_t at = server->requests - 1;

	if (at >= server->step_count) {
		text_addf(&server->problems, "request %zu is one too many: %s %s %s\n", at, seen->method, seen->path, seen->body);
		return (struct http_reply){.status = 599};
	}
	const struct http_step *step = &server->steps[at];
	if ((step->method != NULL && strcmp(step->method, seen->method) != 0) ||
	    (step->path != NULL && strcmp(step->path, seen->path) != 0))
		text_addf(&server->problems, "request %zu is %s %s, not %s %s\n", at, seen->method, seen->path,
		          step->method != NULL ? step->method : "", step->path != NULL ? step->path : "");
	if (step->header != NULL && !has_line(seen->headers, step->header))
		text_addf(&server->problems, "request %zu has no '%s':%s\n", at, step->header, seen->headers);
	if (step->body != NULL && strstr(seen->body, step->body) == NULL)
		text_addf(&server->problems, "request %zu has no '%s': %s\n", at, step->body, seen->body);
	return step->reply;
}

static void *serve(void *arg)
{
	struct http_server *server = arg;

	while (wait_readable(server, server->listener)) {
		int fd = accept(server->listener, NULL, NULL);
		struct text request = {.max = REQUEST_MAX};
		struct http_seen seen;

		must(fd >= 0, "accept");
		if (read_request(server, fd, &request, &seen)) {
			server->requests++;
			struct http_reply reply =
				server->handler != NULL ? server->handler(server->arg, &seen) : next_step(server, &seen);
			send_reply(server, fd, &reply);
			free(reply.owned);
		}
		(void)close(fd);
		text_release(&request);
	}
	return NULL;
}

static struct http_server *start(const struct http_server *made)
{
	struct http_server *server = malloc(sizeof *server);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;

	must(server != NULL, "malloc");
	*server = *made;
	server->problems.max = REQUEST_MAX;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	server->stop = eventfd(0, EFD_CLOEXEC);
	must(server->listener >= 0 && server->stop >= 0, "socket");
	must(bind(server->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	must(listen(server->listener, 64) == 0, "listen");
	must(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
	(void)snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
	must(pthread_create(&server->thread, NULL, serve, server) == 0, "pthread_create");
	return server;
}

struct http_server *http_server_script(const struct http_step *steps, size_t count)
{
	return start(&(struct http_server){.steps = steps, .step_count = count});
}

struct http_server *http_server_handle(http_handler *handler, void *arg)
{
	return start(&(struct http_server){.handler = handler, .arg = arg});
}

const char *http_server_url(const struct http_server *server)
{
	return server->url;
}

size_t http_server_requests(const struct http_server *server)
{
	return server->requests;
}

char *http_server_stop(struct http_server *server, size_t *ret_requests)
{
	must(eventfd_write(server->stop, 1) == 0, "eventfd_write");
	must(pthread_join(server->thread, NULL) == 0, "pthread_join");
	(void)close(server->listener);
	(void)close(server->stop);
	for (size_t i = server->requests; i < server->step_count; i++)
		text_addf(&server->problems, "request %zu never came: %s %s\n", i,
		          server->steps[i].method != NULL ? server->steps[i].method : "",
		          server->steps[i].path != NULL ? server->steps[i].path : "");
	if (ret_requests != NULL)
		*ret_requests = server->requests;
	char *problems = text_take(&server->problems);
	free(server);
	must(problems != NULL, "problems");
	return problems;
}

void http_seen_header(const char *headers, const char *name, char *ret_value, size_t size)
{
	size_t len = strlen(name);

	ret_value[0] = '\0';
	for (const char *line = strstr(headers, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " ");
		(void)snprintf(ret_value, size, "%.*s", (int)strcspn(line, "\r\n"), line);
		return;
	}
}
