// A browser that reaches nothing but the server, and what every script does with it.
//
// A script reads from standard input, as JSON: page (its first), folder (for screenshots; failed.png after a failure),
// profile (an empty folder for the browser), and what else it wants; it prints what was seen, as JSON.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const wanted = JSON.parse(readFileSync(0));
export const seen = {};
const origin = new URL(wanted.page).origin;
const outside = new Set();

const browser = await chromium.launchPersistentContext(wanted.profile, {
	executablePath: '/usr/bin/chromium',
	viewport: { width: 1280, height: 720 },
	timezoneId: 'UTC',
	args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
});
export const page = browser.pages()[0];
page.setDefaultTimeout(Number(process.env.BROWSER_MS ?? 45000));

// Nothing but the server is reached, and the test says what was asked for.
await browser.route((url) => url.origin !== origin, (route) => {
	outside.add(new URL(route.request().url()).host);
	return route.abort();
});

export const picture = (name) => page.screenshot({ path: `${wanted.folder}/${name}.png` });

// On SQLite the server may answer 503 (database is locked); the UI says so and the person presses again.
export async function press(button, path) {
	for (let tries = 0; tries < 20; tries++) {
		const answer = page.waitForResponse((response) => response.url().includes(path) && response.request().method() === 'POST');
		await button.click();
		const status = (await answer).status();
		if (status !== 503)
			return status;
	}
	throw new Error(`${path}: 503 twenty times`);
}

// Opens the form of the run whose page is shown in the V2 UI; returns the dialog.
export async function openForm() {
	await page.getByRole('main').getByRole('button', { name: 'Open menu' }).click();
	await page.getByRole('menuitem', { name: 'Resume' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel(/Delete these flow runs/).waitFor();
	return dialog;
}

export const resumeButton = (dialog) => dialog.getByRole('button', { name: /Submit|Resume/ });

// Chooses yes or no in the form of the V2 UI.
export async function choose(dialog, value) {
	await dialog.getByLabel(/Delete these flow runs/).click();
	await page.getByRole('option', { name: String(value), exact: true }).click();
}

// The page looks anew only now and then; a person reloads.
export async function waitForState(name) {
	const badge = page.getByRole('main').getByText(name, { exact: true }).first();
	for (let tries = 0; tries < 10; tries++) {
		await page.getByRole('tab', { name: 'Details' }).waitFor();
		if (await badge.waitFor({ timeout: 12000 }).then(() => true, () => false))
			return;
		await page.reload({ waitUntil: 'domcontentloaded' });
	}
	throw new Error(`the run's page does not say ${name}`);
}

// Plays the steps one after the other, and tells what was seen.
export async function play(...steps) {
	try {
		for (const step of steps)
			await step();
	} catch (error) {
		await picture('failed').catch(() => {});
		console.error(`${error.stack}\non ${page.url()}\n${await page.locator('body').ariaSnapshot().catch(() => '')}`);
		process.exitCode = 1;
	} finally {
		await browser.close();
	}
	console.log(JSON.stringify({ ...seen, outside: [...outside] }));
}
