// What a person does in Prefect's UI, from the deployment's page to the report: a Custom run with values of its own, the
// run's page, Resume with notes, the end. Reads from standard input, as JSON: page (the deployment's), folder (for
// screenshots; failed.png after a failure), profile (an empty folder for the browser), parameters (label: value), notes.
// Prints what was seen as JSON. tests/integration/test_browser.py runs it and looks into the database.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const wanted = JSON.parse(readFileSync(0));
const origin = new URL(wanted.page).origin;
const seen = {};
const outside = new Set();

const browser = await chromium.launchPersistentContext(wanted.profile, {
	executablePath: '/usr/bin/chromium',
	viewport: { width: 1280, height: 900 },
	timezoneId: 'UTC',
	args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
const page = browser.pages()[0];
page.setDefaultTimeout(45000);

// Nothing but the server is reached, and the test says what was asked for.
await browser.route((url) => url.origin !== origin, (route) => {
	outside.add(new URL(route.request().url()).host);
	return route.abort();
});

const picture = (name) => page.screenshot({ path: `${wanted.folder}/${name}.png` });

// On SQLite the server may answer 503 (database is locked); the UI says so and the person presses again.
async function press(button, path) {
	for (let tries = 0; tries < 20; tries++) {
		const answer = page.waitForResponse((response) => response.url().includes(path) && response.request().method() === 'POST');
		await button.click();
		const status = (await answer).status();
		if (status !== 503)
			return status;
	}
	throw new Error(`${path}: 503 twenty times`);
}

async function startCustomRun() {
	await page.goto(wanted.page);
	await page.getByRole('button', { name: 'Run', exact: true }).click();
	await page.getByRole('menuitem', { name: 'Custom run' }).click();
	for (const [label, value] of Object.entries(wanted.parameters))
		await page.getByLabel(label).fill(value);
	await picture('custom-run');
	seen.created = await press(page.getByRole('button', { name: 'Submit' }), '/create_flow_run');
	await page.getByRole('link', { name: 'View run' }).click();
	await page.waitForURL('**/runs/flow-run/*');
	seen.run = new URL(page.url()).pathname.split('/').pop();
}

// The page looks anew only now and then; a person reloads.
async function waitForState(name) {
	const badge = page.getByRole('main').getByText(name, { exact: true }).first();
	for (let tries = 0; tries < 10; tries++) {
		await page.getByRole('tab', { name: 'Details' }).waitFor();
		if (await badge.waitFor({ timeout: 12000 }).then(() => true, () => false))
			return;
		await page.reload({ waitUntil: 'domcontentloaded' });
	}
	throw new Error(`the run's page does not say ${name}`);
}

async function resume() {
	await waitForState('Paused');
	await page.getByRole('tab', { name: 'Details' }).click();
	seen.question = await page.getByRole('tabpanel').innerText();
	await picture('paused');
	await page.getByRole('main').getByRole('button', { name: 'Open menu' }).click();
	await page.getByRole('menuitem', { name: 'Resume' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Approve').click();
	await dialog.getByLabel('Notes').fill(wanted.notes);
	seen.form = await dialog.innerText();
	seen.headings = await dialog.getByRole('heading').allInnerTexts();
	seen.rows = await dialog.getByRole('row').allInnerTexts();
	await picture('form');
	seen.resumed = await press(dialog.getByRole('button', { name: /Submit|Resume/ }), '/resume');
	await dialog.waitFor({ state: 'hidden' });
}

async function readResult() {
	await waitForState('Completed');
	await page.getByRole('tab', { name: 'Details' }).click();
	seen.result = await page.getByRole('tabpanel').innerText();
	await page.getByRole('tab', { name: 'Logs' }).click();
	await page.getByText(wanted.notes).first().waitFor();
	await page.getByRole('tab', { name: 'Task Runs' }).click();
	await page.getByRole('tabpanel').getByText('report', { exact: true }).waitFor();
	seen.tasks = await page.getByRole('tabpanel').innerText();
	await picture('completed');
}

async function readReport() {
	await page.getByRole('tab', { name: 'Artifacts' }).click();
	await page.getByRole('tabpanel').getByRole('link', { name: 'cleanup-report' }).first().click();
	// The page of the key: one report a run. The latest is the first.
	await page.locator('a[href*="/artifacts/artifact/"]').first().click();
	await page.getByRole('main').getByText(wanted.notes).first().waitFor();
	seen.report = await page.getByRole('main').innerText();
	await picture('report');
}

try {
	await startCustomRun();
	await resume();
	await readResult();
	await readReport();
} catch (error) {
	await picture('failed').catch(() => {});
	console.error(`${error.stack}\non ${page.url()}\n${await page.locator('body').ariaSnapshot().catch(() => '')}`);
	process.exitCode = 1;
} finally {
	await browser.close();
}
console.log(JSON.stringify({ ...seen, outside: [...outside] }));
