// What a person does in the V1 UI: opens the page of a run that is Paused, presses Resume, approves. Wants (ui.mjs) besides: notes.
import { page, picture, play, press, seen, wanted } from './ui.mjs';

async function resume() {
	await page.goto(wanted.page);
	await page.getByRole('button', { name: 'Resume' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByRole('textbox').first().waitFor();
	seen.form = await dialog.innerText();
	await picture('form-v1');
	seen.link = await dialog.getByRole('link', { name: /Flows, deployments/ }).evaluate((link) => link.href);
	// Who has not decided has not rejected: this UI does not even send it.
	await dialog.getByRole('button', { name: 'Submit' }).click();
	await dialog.getByText("'approve' is a required property").waitFor();
	// A list that opens below the field, and closes when it loses the focus.
	await dialog.getByRole('group').first().getByRole('button').click();
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Enter');
	await dialog.getByRole('textbox').first().fill(wanted.notes);
	seen.resumed = await press(dialog.getByRole('button', { name: 'Submit' }), '/resume');
	await dialog.waitFor({ state: 'hidden' });
}

await play(resume);
