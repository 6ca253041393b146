// What a person does in Prefect's UI, from the deployment's page to the report: a Custom run with values of its own, the
// run's page, Resume with notes, the end. Wants (ui.mjs) besides: parameters (label: value), notes.
// tests/integration/test_browser.py runs it and looks into the database.
import { page, picture, play, press, seen, wanted } from './ui.mjs';

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

await play(startCustomRun, resume, readResult, readReport);
