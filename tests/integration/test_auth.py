"""Every way to a protected server, from the first call to the last; and every mistake, which names the setting.

`deploy` ends with its message, `start` waits and says it. No secret shows up anywhere.
"""

import contextlib
import datetime
import ipaddress
import json
import re
import subprocess
import time
import uuid
from dataclasses import dataclass, field

import harness
import httpx
import proxy as act
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness import run_cli, unique
from janitor import Janitor
from proxy import Proxy

SECRET = "hush-hush"
CSRF_SECONDS = 3  # short, so that the worker's tokens run out


@dataclass
class Way:
    """How to reach a server: the address and the settings of our program."""

    url: str
    settings: dict = field(default_factory=dict)
    proxy: Proxy | None = None  # what it leads through, if anything counts

    def but(self, url=None, **settings):
        """The same with a mistake; None takes a setting away."""
        changed = {key: value for key, value in (self.settings | settings).items() if value is not None}
        return Way(url or self.url, changed, self.proxy)


# --- servers --------------------------------------------------------------------------------------------


class Csrf(httpx.Auth):
    """A client of its own with every request: its tokens are for a moment only."""

    def __init__(self, url):
        self.url = url

    def auth_flow(self, request):
        client = str(uuid.uuid4())
        request.headers["Prefect-Csrf-Client"] = client
        request.headers["Prefect-Csrf-Token"] = httpx.get(f"{self.url}/csrf-token", params={"client": client}).json()["token"]
        yield request


@dataclass
class Place:
    """A server with all that a test needs on it."""

    server: harness.Server
    api: harness.Api
    db: harness.Db
    history: harness.History


@contextlib.contextmanager
def place(name, settings, auth):
    with harness.Server(name, settings=settings) as server:
        db, history = harness.Db(server.home), harness.History(server)
        yield Place(server, harness.Api(server.url, db, auth(server.url)), db, history)
        history.stop()


@pytest.fixture(scope="module")
def locked(server_name):
    """A server with a password."""
    auth_string = f"admin:{SECRET}"
    with place(f"{server_name}-auth", [f"PREFECT_SERVER_API_AUTH_STRING={auth_string}"],
               lambda _: tuple(auth_string.split(":"))) as locked:
        yield locked


@pytest.fixture(scope="module")
def csrf(server_name):
    with place(f"{server_name}-csrf", ["PREFECT_SERVER_CSRF_PROTECTION_ENABLED=true",
                                       f"PREFECT_SERVER_CSRF_TOKEN_EXPIRATION=PT{CSRF_SECONDS}S"], Csrf) as csrf:
        yield csrf


@pytest.fixture(scope="module")
def plain(server, api, db, history):
    return Place(server, api, db, history)


# --- certificates ---------------------------------------------------------------------------------------


def make_certificate(folder, name, issuer=None, hosts=()):
    """PEM files NAME.pem and NAME.key; without an issuer an authority. Returns what is needed to issue more."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer_name, issuer_key = issuer or (subject, key)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True))
    if hosts:
        certificate = certificate.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    pem = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.sign(issuer_key, hashes.SHA256()).public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                           serialization.NoEncryption()))
    return subject, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca.pem signs right.pem (127.0.0.1) and wrong.pem (another host); other.pem is an authority that signed nothing."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = make_certificate(folder, "ca")
    make_certificate(folder, "other")
    make_certificate(folder, "right", ca, [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    make_certificate(folder, "wrong", ca, [x509.DNSName("prefect.example.com")])
    return folder


# --- ways -----------------------------------------------------------------------------------------------


@pytest.fixture
def open_way(request, certificates):
    """open_way(name): (where it leads to, the way); everything on it is closed at the test's end."""
    with contextlib.ExitStack() as stack:
        def tls(place, certificate="right", prefix=""):
            pair = (certificates / f"{certificate}.pem", certificates / f"{certificate}.key")
            proxy = stack.enter_context(Proxy(place.server.url, prefix=prefix, tls=pair))
            return Way(proxy.url + "/api", {"PREFECT_API_SSL_CERT_FILE": certificates / "ca.pem"}, proxy)

        def forward():
            return stack.enter_context(Proxy("http://127.0.0.1:9"))

        def open_way(name):
            if name == "password":
                place = request.getfixturevalue("locked")
                return place, Way(place.server.url, {"PREFECT_API_AUTH_STRING": f"admin:{SECRET}"})
            if name == "csrf":
                place = request.getfixturevalue("csrf")
                return place, Way(place.server.url)
            if name == "password, TLS, prefix, proxy":
                place = request.getfixturevalue("locked")
                way, proxy = tls(place, prefix="/prefect"), forward()
                return place, way.but(PREFECT_API_AUTH_STRING=f"admin:{SECRET}", https_proxy=proxy.url)
            place = request.getfixturevalue("plain")
            if name == "key":
                proxy = stack.enter_context(Proxy(place.server.url))
                return place, Way(proxy.url + "/api", {"PREFECT_API_KEY": SECRET}, proxy)
            if name == "headers":
                proxy = stack.enter_context(Proxy(place.server.url))
                return place, Way(proxy.url + "/api", {"PREFECT_CLIENT_CUSTOM_HEADERS": f'{{"X-Token": "{SECRET}"}}'}, proxy)
            if name == "TLS":
                return place, tls(place)
            if name == "TLS, another host":
                return place, tls(place, "wrong")
            if name == "TLS, unchecked":
                return place, tls(place, "wrong").but(PREFECT_API_SSL_CERT_FILE=None, PREFECT_API_TLS_INSECURE_SKIP_VERIFY="true")
            if name == "prefix":
                return place, tls(place, prefix="/prefect")
            proxy = forward()
            if name == "http proxy":
                return place, Way(place.server.url, {"http_proxy": proxy.url}, proxy)
            if name == "https proxy":
                return place, Way(tls(place).url, {"https_proxy": proxy.url, "PREFECT_API_SSL_CERT_FILE": certificates / "ca.pem"},
                                  proxy)
            assert name == "NO_PROXY", name
            return place, Way(place.server.url, {"http_proxy": proxy.url, "NO_PROXY": "127.0.0.1"}, proxy)

        yield open_way


@pytest.fixture
def starter(server):
    """starter(pool, way): a worker on this way."""
    started = []

    def start(pool, way):
        started.append(harness.Worker(way.url, server.home, pool, **way.settings))
        return started[-1]

    yield start
    for one in started:
        one.close()


# --- what works -----------------------------------------------------------------------------------------


def check_requests(name, way):
    """What the proxy on the way saw."""
    requests = way.proxy.seen if way.proxy else []
    if name == "key":
        assert {request.headers.get("authorization") for request in requests} == {f"Bearer {SECRET}"}
    elif name == "headers":
        assert {request.headers.get("x-token") for request in requests} == {SECRET}
    elif name == "http proxy":
        assert len(requests) > 20 and all(request.path.startswith(way.url) for request in requests)
    elif name == "https proxy":
        assert requests and {request.method for request in requests} == {"CONNECT"}
    elif name == "NO_PROXY":
        assert requests == []


DOCTOR_SAYS = {  # what is special on the way: check, status, words
    "password": ("auth", "ok", "user and password are taken"),
    "csrf": ("csrf", "ok", "the server asks for tokens, and gives them"),
    "key": ("auth", "ok", "the API key is taken"),
    "TLS": ("tls", "ok", "certificate is trusted"),
    "TLS, unchecked": ("tls", "warn", "certificate is not checked"),
}


def check_doctor(name, done):
    assert done.returncode == 0, done
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    check, status, words = DOCTOR_SAYS.get(name, ("address", "ok", "answers"))
    assert checks[check]["status"] == status and words in checks[check]["text"]


@pytest.mark.parametrize("name", ["password", "csrf", "key", "headers", "TLS", "TLS, unchecked", "prefix", "http proxy",
                                  "https proxy", "NO_PROXY", "password, TLS, prefix, proxy"])
def test_works_from_first_call_to_last(open_way, starter, name):
    place, way = open_way(name)
    said = []

    def cli(*arguments):
        said.append(done := run_cli(way.url, *arguments, **way.settings))
        return done

    state = unique("Done")
    [ids] = place.history({"flow": "old", "count": 12, "state_name": state, "start_time": harness.from_now(days=-40),
                           "end_time": harness.from_now(days=-39)})
    janitor = Janitor(place.api, place.db, cli)
    one = starter(janitor.pool, way)
    run_id = janitor.ask(state, batch_size=10)
    assert "**12 flow runs" in janitor.preview(run_id)
    if name == "csrf":  # every token runs out meanwhile
        time.sleep(CSRF_SECONDS + 1)
    assert janitor.approve(run_id)["deleted"] == 12
    assert place.db.existing(ids) == set()
    janitor.wait_log(run_id, "the deletion took")
    check_doctor(name, cli("doctor", "--pool", janitor.pool, "--deployment", janitor.name, "--output", "json"))
    one.stop()
    check_requests(name, way)

    everything = one.output() + "".join(done.stdout + done.stderr for done in said) + "".join(place.db.logs(run_id))
    assert SECRET not in everything
    page = re.search(r"page +(\S+)", said[0].stdout)[1]
    assert page == f"{way.url.removesuffix('/api')}/v2/deployments/deployment/{janitor.deployment_id}"


def test_the_page_lies_below_the_prefix(open_way):
    _, way = open_way("prefix")
    done = run_cli(way.url, "deploy", "--pool", unique("pool"), "--name", unique("cleanup"), **way.settings)
    page = re.search(r"page +(\S+)", done.stdout)[1]
    assert "/prefect/v2/" in page
    assert httpx.get(page, headers={"Accept": "text/html"}, verify=False).status_code == 200


# --- what does not --------------------------------------------------------------------------------------


def proxy_asks(way):
    way.proxy.add(act.status(407, proxy_authenticate='Basic realm="p"'), count=None)
    return way


def proxy_down(way):
    way.proxy.down()
    return way


MISTAKES = {
    "no password": ("password", lambda way: way.but(PREFECT_API_AUTH_STRING=None), "PREFECT_API_AUTH_STRING"),
    "wrong password": ("password", lambda way: way.but(PREFECT_API_AUTH_STRING="admin:hush-no"), "PREFECT_API_AUTH_STRING"),
    "a key for a password": ("password", lambda way: way.but(PREFECT_API_AUTH_STRING=None, PREFECT_API_KEY="hush-no"),
                             "PREFECT_API_KEY"),
    "no authority": ("TLS", lambda way: way.but(PREFECT_API_SSL_CERT_FILE=None), "PREFECT_API_SSL_CERT_FILE"),
    "wrong authority": ("TLS", lambda way: way.but(PREFECT_API_SSL_CERT_FILE=way.settings["PREFECT_API_SSL_CERT_FILE"].with_name(
        "other.pem")), "PREFECT_API_SSL_CERT_FILE"),
    "another host": ("TLS, another host", lambda way: way, "PREFECT_API_URL"),
    "http for https": ("TLS", lambda way: way.but(way.url.replace("https:", "http:")), "PREFECT_API_URL"),
    "https for http": ("key", lambda way: way.but(way.url.replace("http:", "https:")), "PREFECT_API_URL"),
    "wrong prefix": ("prefix", lambda way: way.but(way.url.replace("/prefect/", "/perfect/")), "PREFECT_API_URL"),
    "no prefix": ("prefix", lambda way: way.but(way.url.replace("/prefect/", "/")), "PREFECT_API_URL"),
    "no /api": ("TLS", lambda way: way.but(way.url.removesuffix("/api")), "PREFECT_API_URL"),
    "http proxy down": ("http proxy", proxy_down, "http_proxy"),
    "http proxy asks": ("http proxy", proxy_asks, "http_proxy"),
    "https proxy down": ("https proxy", proxy_down, "https_proxy"),
    "https proxy asks": ("https proxy", proxy_asks, "https_proxy"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_the_setting(open_way, starter, mistake):
    name, make, setting = MISTAKES[mistake]
    way = make(open_way(name)[1])
    done = run_cli(way.url, "deploy", "--pool", unique("pool"), **way.settings)
    assert done.returncode == 1 and setting in done.stderr, done
    one = starter(unique("pool"), way)
    if mistake in ("wrong password", "a key for a password"):
        one.wait(expect=2)  # it cannot get better by waiting
        assert setting in one.output()
    else:
        one.wait_output("waiting for the server")
        one.wait_output(setting)
        assert one.process.poll() is None
        one.stop()
    doctor = run_cli(way.url, "doctor", "--output", "json", **way.settings)
    assert doctor.returncode == 1, doctor
    [failed] = [check for check in json.loads(doctor.stdout)["checks"] if check["status"] == "fail"]
    assert failed["check"] in ("address", "tls", "auth") and setting in failed["text"] + failed["next"]
    assert "hush" not in done.stdout + done.stderr + one.output() + doctor.stdout + doctor.stderr


@pytest.mark.parametrize("trusted, settings", [
    (True, {"SSL_CERT_FILE": "ca.pem"}),
    (True, {"SSL_CERT_DIR": "hashed"}),
    (True, {"SSL_CERT_FILE": "other.pem", "PREFECT_API_SSL_CERT_FILE": "ca.pem"}),  # Prefect's own name goes before
    (True, {"SSL_CERT_FILE": "ca.pem", "SSL_CERT_DIR": "."}),
    (False, {"SSL_CERT_FILE": "other.pem"}),
    (False, {"SSL_CERT_DIR": "."}),  # nothing there has a name that OpenSSL looks for
    (False, {"SSL_CERT_FILE": "ca.pem", "PREFECT_API_SSL_CERT_FILE": "other.pem"}),
    (False, {"SSL_CERT_DIR": "hashed", "PREFECT_API_SSL_CERT_FILE": "other.pem"}),
], ids=str)
def test_authorities_by_the_names_of_openssl(open_way, certificates, trusted, settings):
    _, way = open_way("TLS")
    hashed = certificates / "hashed"
    hashed.mkdir(exist_ok=True)
    name = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", certificates / "ca.pem"], check=True, capture_output=True,
                          text=True).stdout.strip()
    (hashed / f"{name}.0").write_bytes((certificates / "ca.pem").read_bytes())
    way = way.but(PREFECT_API_SSL_CERT_FILE=None).but(**{key: certificates / value for key, value in settings.items()})
    doctor = run_cli(way.url, "doctor", "--output", "json", **way.settings)
    [tls] = [check for check in json.loads(doctor.stdout)["checks"] if check["check"] == "tls"]
    assert tls["status"] == ("ok" if trusted else "fail"), tls
    done = run_cli(way.url, "pending", **way.settings)
    assert done.returncode == (0 if trusted else 1), done
    assert trusted or "certificate" in done.stderr


@pytest.mark.parametrize("command", ["deploy", "start"])
def test_no_such_certificate_file(command, tmp_path):
    """A wrong setting ends at once, whether the server is there or not."""
    file = tmp_path / "missing.pem"
    done = run_cli("https://127.0.0.1:9/api", command, "--pool", unique("pool"), PREFECT_API_SSL_CERT_FILE=file)
    assert done.returncode == 2, done
    assert "PREFECT_API_SSL_CERT_FILE" in done.stderr and str(file) in done.stderr
